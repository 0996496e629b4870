"""Plots and self-contained HTML pages (plots need ``pip install 'argmind[report]'``)."""
