"""The report of a cycle: one HTML file that opens anywhere, needs no network, and says of each figure what it rests on.

`view.py` holds everything the page shows, already computed; `render.py` turns it into the file (`page.html.j2`,
`parts.html.j2`, `page.css`); `pictures.py` and `cases.py` say what is drawn, `charts/` draws it with Vega-Lite;
`wording.py` writes numbers and the verdict. Nothing here reads or writes a file of the workspace. Pictures are SVG
whose colours are the style sheet's, so that they follow the reader's light or dark theme and the paper.
"""
