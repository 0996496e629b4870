"""Energy models: context and candidates in, one cost per prediction out."""
