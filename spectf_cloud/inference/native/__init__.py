"""C++ source of the CPU kernel, and how it is compiled (`build`)."""
