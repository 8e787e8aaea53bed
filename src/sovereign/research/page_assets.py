"""Style sheet and script of the report page, kept as text so that a report is one file without references."""

from __future__ import annotations

STYLE = """
:root{color-scheme:light;--bg:#f5f6f8;--panel:#fff;--ink:#1b2330;--dim:#5c6675;--line:#dde2ea;--good:#15803d;--bad:#c0322b;
--warn:#b45309;--main:#2456c7;--soft:#8793a6;--good-bg:#e7f5ec;--bad-bg:#fbe9e8;--warn-bg:#fdf3e1}
:root[data-theme=dark]{color-scheme:dark;--bg:#10141b;--panel:#181e28;--ink:#e4e9f1;--dim:#97a3b6;--line:#2b3442;--good:#4cc38a;
--bad:#f2746b;--warn:#f0b04f;--main:#7aa5ff;--soft:#66738a;--good-bg:#15301f;--bad-bg:#3a1d1c;--warn-bg:#372a12}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{max-width:1180px;margin:0 auto;padding:16px}
header{display:flex;flex-wrap:wrap;gap:4px 16px;align-items:baseline;margin:8px 0 14px}
h1{font-size:24px;margin:0}h2{font-size:17px;margin:0 0 8px}h3{font-size:14px;margin:0 0 4px;color:var(--dim);font-weight:600}
.dim{color:var(--dim)}.small{font-size:13px}.mono{font-family:ui-monospace,Menlo,Consolas,monospace;font-size:12.5px;
overflow-wrap:anywhere}
button{font:inherit;color:var(--ink);background:var(--panel);border:1px solid var(--line);border-radius:8px;padding:4px 12px;
cursor:pointer}
#theme{margin-left:auto}
.banner{background:var(--warn);color:var(--panel);font-weight:700;letter-spacing:.08em;text-align:center;padding:8px;
border-radius:10px;margin-bottom:14px}
.panel{background:var(--panel);border:1px solid var(--line);border-radius:12px;padding:14px 16px;margin-bottom:14px;min-width:0}
.grid{display:grid;gap:14px;grid-template-columns:repeat(2,minmax(0,1fr))}.grid .panel{margin:0}.grid{margin-bottom:14px}
.tiles{display:grid;gap:10px;grid-template-columns:repeat(5,minmax(0,1fr));margin-bottom:14px}
.tile{background:var(--panel);border:1px solid var(--line);border-radius:12px;padding:10px 14px}
.tile b{display:block;font-size:21px;font-weight:650;font-variant-numeric:tabular-nums}
.verdict{border-left:8px solid var(--warn)}.verdict .word{font-size:22px;font-weight:700;text-transform:uppercase;
letter-spacing:.06em;color:var(--warn)}
.verdict.evidence{border-color:var(--good)}.verdict.evidence .word{color:var(--good)}
.verdict.artefact{border-color:var(--bad)}.verdict.artefact .word{color:var(--bad)}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:13.5px}
th,td{padding:5px 9px;text-align:left;border-bottom:1px solid var(--line);vertical-align:top}
th{color:var(--dim);font-weight:600;white-space:nowrap}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;
white-space:nowrap}
tr:last-child td{border-bottom:0}
.good{color:var(--good)}.bad{color:var(--bad)}.warn{color:var(--warn)}
.pill{display:inline-block;border-radius:20px;padding:0 10px;font-size:12.5px;font-weight:600;white-space:nowrap}
.pill.passed{background:var(--good-bg);color:var(--good)}.pill.failed{background:var(--bad-bg);color:var(--bad)}
.pill.not{background:var(--warn-bg);color:var(--warn)}
#trades th{cursor:pointer;user-select:none;position:sticky;top:0;background:var(--panel)}
#trades td{white-space:nowrap}
#trades th[data-dir="1"]:after{content:" ▲"}
#trades th[data-dir="-1"]:after{content:" ▼"}
.tall{max-height:520px;overflow:auto}
input{font:inherit;color:var(--ink);background:var(--bg);border:1px solid var(--line);border-radius:8px;padding:4px 10px;
max-width:100%}
details{margin-top:6px}summary{cursor:pointer;color:var(--dim)}pre{white-space:pre-wrap;overflow-wrap:anywhere;margin:8px 0 0}
ul{margin:0;padding-left:20px}
@media(max-width:760px){.tiles{grid-template-columns:repeat(2,minmax(0,1fr))}.grid{grid-template-columns:minmax(0,1fr)}main{padding:10px}.panel{padding:12px}
table.stack thead{display:none}table.stack tr{display:block;border-bottom:1px solid var(--line);padding:6px 0}
table.stack td{display:block;border:0;padding:1px 0;text-align:left;white-space:normal}
table.stack td[data-label]:before{content:attr(data-label) ": ";color:var(--dim)}table.stack td:empty{display:none}}
@media print{button,input{display:none}.panel,.tile{break-inside:avoid}.tall{max-height:none}}
"""

SCRIPT = """
'use strict';
const read=id=>JSON.parse(document.getElementById(id).textContent);
const figures=read('figures-data'),root=document.documentElement;
const names=['good','bad','main','soft','panel'];
function paint(value,colors){
  if(typeof value==='string')return names.includes(value)?colors[value]:value;
  if(Array.isArray(value))return value.map(item=>paint(item,colors));
  return value;
}
function themed(trace,colors){
  const copy=structuredClone(trace);
  for(const part of ['line','marker'])if(copy[part]&&copy[part].color)copy[part].color=paint(copy[part].color,colors);
  if(copy.colorscale)copy.colorscale=paint(copy.colorscale,colors);
  return copy;
}
function draw(){
  const style=getComputedStyle(root),colors={};
  for(const name of names)colors[name]=style.getPropertyValue('--'+name).trim();
  const ink=style.getPropertyValue('--ink').trim(),line=style.getPropertyValue('--line').trim();
  for(const [id,figure] of Object.entries(figures)){
    const node=document.getElementById(id);
    if(!node)continue;
    const layout=structuredClone(figure.layout);
    Object.assign(layout,{paper_bgcolor:'rgba(0,0,0,0)',plot_bgcolor:'rgba(0,0,0,0)',autosize:true,
      margin:Object.assign({l:58,r:14,t:18,b:38},layout.margin||{}),
      font:{color:ink,size:12,family:getComputedStyle(document.body).fontFamily}});
    for(const axis of ['xaxis','yaxis','yaxis2']){
      if(axis==='yaxis2'&&!layout[axis])continue;
      layout[axis]=Object.assign({gridcolor:line,zerolinecolor:line,automargin:true},layout[axis]||{});
    }
    Plotly.react(node,figure.data.map(trace=>themed(trace,colors)),layout,{responsive:true,displaylogo:false,
      displayModeBar:false});
  }
}
let saved=null;
try{saved=localStorage.getItem('sovereign-theme')}catch(error){saved=null}
const dark=window.matchMedia('(prefers-color-scheme: dark)').matches;
function theme(name){root.dataset.theme=name;document.getElementById('theme').textContent=name==='dark'?'Light':'Dark'}
theme(saved||(dark?'dark':'light'));
document.getElementById('theme').addEventListener('click',()=>{
  const next=root.dataset.theme==='dark'?'light':'dark';theme(next);
  try{localStorage.setItem('sovereign-theme',next)}catch(error){saved=next}
  draw();
});
draw();
const table=document.getElementById('trades'),data=read('trades-data'),step=200;
if(table){
  let shown=step,column=0,direction=1,needle='';
  const body=table.tBodies[0],more=document.getElementById('more'),heads=[...table.tHead.rows[0].cells];
  const render=()=>{
    const found=needle?data.rows.filter(row=>row.some(cell=>String(cell).toLowerCase().includes(needle))):data.rows.slice();
    found.sort((a,b)=>{const x=a[column],y=b[column];
      return direction*(typeof x==='number'&&typeof y==='number'?x-y:String(x).localeCompare(String(y)))});
    body.replaceChildren(...found.slice(0,shown).map(row=>{
      const line=document.createElement('tr');
      row.forEach((cell,index)=>{
        const field=document.createElement('td'),kind=data.kinds[index];
        if(kind!=='text')field.className='n';
        if(kind==='money'){field.textContent=cell.toLocaleString('en-US',{minimumFractionDigits:2,maximumFractionDigits:2});
          if(index===data.net)field.classList.add(cell<0?'bad':'good')}
        else if(kind==='price')field.textContent=cell.toLocaleString('en-US',{minimumFractionDigits:data.digits});
        else if(typeof cell==='number')field.textContent=cell.toLocaleString('en-US',{maximumFractionDigits:4});
        else field.textContent=cell;
        line.append(field);
      });
      return line;
    }));
    heads.forEach((head,index)=>{if(index===column)head.dataset.dir=direction;else delete head.dataset.dir});
    more.hidden=found.length<=shown;
    more.textContent='Show all '+found.length.toLocaleString('en-US');
  };
  heads.forEach((head,index)=>head.addEventListener('click',()=>{
    direction=index===column?-direction:1;column=index;render()}));
  more.addEventListener('click',()=>{shown=Infinity;render()});
  document.getElementById('find').addEventListener('input',event=>{needle=event.target.value.toLowerCase();render()});
  render();
}
"""
