"""The playground: a prompt sent through the pipeline from a page, to several strategies or models at once."""
