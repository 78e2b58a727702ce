"""Vision and audio towers and the projectors behind them, one small module per lineage."""
