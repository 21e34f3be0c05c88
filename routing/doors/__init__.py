"""HTTP in and out: the native and the OpenAI-compatible API over one pipeline (spec/api.md)."""
