"""What must hold for a batch: suites in files, compiled to one pass and judged by a library."""
