"""How pages look. Colours are Okabe and Ito's: told apart by colour-blind eyes, and each comes
with a sign and a word."""

LEVELS = {"error": "✖", "warning": "▲", "note": "●"}

STYLE = """
:root{--ink:#1b1b1b;--paper:#fff;--line:#d9d9d9;--soft:#f5f5f5;--error:#b34700;--warning:#8a6100;
--note:#0072b2}
@media(prefers-color-scheme:dark){:root{--ink:#ececec;--paper:#161616;--line:#3a3a3a;--soft:#222;
--error:#ff9966;--warning:#e8b84a;--note:#6bbcf0}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,sans-serif}
main{max-width:1080px;margin:0 auto;padding:24px}
h1{font-size:26px;margin:0 0 4px}h2{font-size:19px;margin:32px 0 8px;border-bottom:1px solid
 var(--line);padding-bottom:4px}h3{font-size:15px;margin:0}
p{margin:4px 0;overflow-wrap:anywhere}
pre{background:var(--soft);padding:8px 12px;overflow:auto;max-height:24em;font-size:13px}
.tiles{display:flex;gap:12px;flex-wrap:wrap;margin:16px 0}
.tile{border:1px solid var(--line);border-top:4px solid var(--line);padding:8px 16px;
 min-width:120px}
.tile b{display:block;font-size:26px;line-height:1.2;font-variant-numeric:tabular-nums}
.item{border-left:4px solid var(--line);padding:6px 14px;margin:14px 0;background:var(--soft)}
.advice{opacity:.85}.advice::before{content:"→ "}
.mark{margin-right:6px}
.error{border-color:var(--error)}.error .mark,.error h3{color:var(--error)}
.warning{border-color:var(--warning)}.warning .mark,.warning h3{color:var(--warning)}
.note{border-color:var(--note)}.note .mark,.note h3{color:var(--note)}
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%}
th,td{text-align:left;padding:4px 10px;border-bottom:1px solid var(--line);vertical-align:top;
 overflow-wrap:anywhere}
.bars td{width:1%;white-space:nowrap}.bars .bar{width:98%}
.bars i{display:block;height:14px;background:var(--note)}.number{font-variant-numeric:tabular-nums}
.pictures{display:flex;flex-wrap:wrap;gap:12px;margin:8px 0}
figure{margin:0}figure img{width:100%;image-rendering:pixelated;background:#000}
figcaption{font-size:12px;overflow-wrap:anywhere}
summary{cursor:pointer}
@media print{body{font-size:11px}details{display:none}}
"""
