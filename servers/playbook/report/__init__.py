"""The report of a cycle: one HTML file that opens anywhere, needs no network, and says of each figure what it rests on.

`view.py` holds everything the page shows, already computed; `render.py` turns it into the file (`page.html.j2`,
`page.css`); `charts/` draws; `wording.py` writes numbers and the verdict. Nothing here reads or writes a file
of the workspace. Pictures are SVG made by hand: a plotting library would cost three seconds of import on the path of
every cycle, and its pictures could neither follow the reader's light or dark theme nor shrink to a phone.
"""
