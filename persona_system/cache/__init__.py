"""The shared result cache: an in-process tier over one in Redis or Valkey, coherent across processes."""
