import { startBrowser, startPlayerSite, RECORDER } from "./browser";
import { publish, waitFor, Weir } from "./weir";
const weir = await Weir.start(); const browser = await startBrowser();
const s = await weir.createStream("t"); const pub = publish(s.pushUrl);
const player = process.argv[2] as any; const path = player === "hls.js" ? "master.m3u8" : "manifest.mpd";
const wait = Number(process.argv[3] ?? 0);
await waitFor("x", 20000, async () => ((await fetch(`${weir.http}/play/t/manifest.mpd`)).ok ? true : undefined));
await new Promise(r => setTimeout(r, wait));
const site = await startPlayerSite(player);
const page = await browser.newPage(); await page.addInitScript(RECORDER); await page.addInitScript("window.DBG=1");
const t0 = Date.now();
page.on("console", (m) => console.log((Date.now()-t0)/1000, m.text().slice(0, 220)));
page.on("response", (r) => console.log((Date.now()-t0)/1000, r.status(), r.url().replace(weir.http, "").slice(0,120)));
page.on("requestfailed", (r) => console.log("FAILED", r.url()));
await page.goto(`${site.url}?url=${encodeURIComponent(`${weir.http}/play/t/${path}`)}`);
for (let i = 0; i < 16; i++) { await new Promise(r => setTimeout(r, 1000)); console.log((Date.now()-t0)/1000, JSON.stringify(await page.evaluate("report()"))); }
console.log(await (await fetch(`${weir.http}/play/t/manifest.mpd`)).text());
pub.kill("SIGINT"); await browser.close(); site.server.close(); await weir.stop(); process.exit(0);
