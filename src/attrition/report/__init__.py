"""Reports of a study: tables, figures, one page, and tables for the terminal. Nothing here imports torch."""
