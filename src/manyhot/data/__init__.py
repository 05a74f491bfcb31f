"""Pictures and their labels, from files to batches: decoding, augmentation, order, loading, checking."""
