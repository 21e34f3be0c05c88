"""The dashboard: what was asked, which model answered, why, and what it cost."""
