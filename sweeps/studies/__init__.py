"""One study per file; each is a module that can be run by name or executed by itself."""
