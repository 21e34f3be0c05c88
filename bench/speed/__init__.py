"""Speed of RoutePlex next to other gateways, measured side by side on one machine (docs/speed.md)."""
