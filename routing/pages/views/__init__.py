"""One module a screen: each view parses the URL, calls a query, renders a template."""
