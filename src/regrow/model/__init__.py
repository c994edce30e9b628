"""The words everything else speaks: what a gateway is, what can be seen, done, decided and go wrong."""
