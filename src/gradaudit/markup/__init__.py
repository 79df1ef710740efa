"""Pieces of a page: sections, tables, figures in the page's own colours, and the templates that they fill."""
