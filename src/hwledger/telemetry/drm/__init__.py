"""The kernel's own interfaces to graphics devices, the same for several vendors: cards, and who uses them."""
