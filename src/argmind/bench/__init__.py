"""Speed and memory of training and decoding, against the hardware's limits and a rival."""
