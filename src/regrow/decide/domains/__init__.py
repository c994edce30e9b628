"""One file per healing domain."""
