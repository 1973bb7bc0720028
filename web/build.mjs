// Builds every page below web/ into web/dist, from where the server takes them into its binary.

import { cp, mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

/** Each page's script and style. */
const PAGES = {
  dashboard: ["dashboard/src/main.tsx", "dashboard/src/styles/index.css"],
  watch: ["watch/src/main.ts", "watch/src/style.css"],
};

// The folder itself stays: the server is compiled against it with or without what is in it.
await mkdir("dist", { recursive: true });
for (const name of await readdir("dist")) {
  if (name !== ".gitkeep") await rm(`dist/${name}`, { recursive: true });
}

const common = {
  outbase: ".",
  outdir: "dist/assets",
  entryNames: "[dir]/[name]-[hash]",
  bundle: true,
  minify: true,
  target: ["es2022", "safari16"],
  legalComments: "eof",
  metafile: true,
  logLevel: "warning",
};

// First, because the pages have to know what it is called: its name has a hash like theirs.
const worker = await build({ ...common, entryPoints: ["dashboard/src/live/relay_worker.ts"], format: "iife" });
const [workerFile] = Object.keys(worker.metafile.outputs);

const result = await build({
  ...common,
  entryPoints: Object.values(PAGES).flat(),
  chunkNames: "chunks/[name]-[hash]",
  assetNames: "files/[name]-[hash]",
  publicPath: "/assets",
  loader: { ".woff2": "file" },
  // What only one page needs, or needs late (the player), is a file of its own.
  splitting: true,
  format: "esm",
  jsx: "automatic",
  define: { "process.env.NODE_ENV": '"production"', RELAY_WORKER: JSON.stringify(workerFile.replace(/^dist/, "")) },
});

// Pages name their sources; what they get is the built file, whose name has a hash and may be kept for ever.
const built = new Map(
  Object.entries(result.metafile.outputs)
    .filter(([, output]) => output.entryPoint)
    .map(([path, output]) => [`/${output.entryPoint}`, path.replace(/^dist/, "")]),
);
for (const page of Object.keys(PAGES)) {
  const html = await readFile(`${page}/index.html`, "utf8");
  await mkdir(`dist/${page}`, { recursive: true });
  await writeFile(
    `dist/${page}/index.html`,
    html.replace(/(src|href)="(\/[^"]+\.(?:tsx?|css))"/g, (_, attribute, source) => {
      const path = built.get(source);
      if (!path) throw new Error(`${page}/index.html names ${source}, which is not built`);
      return `${attribute}="${path}"`;
    }),
  );
}
await cp("public", "dist/assets", { recursive: true, filter: (path) => !path.endsWith(".gitkeep") });

// Compressed here, once, and not by the server for each who asks. Fonts are compressed in themselves.
for (const path of [workerFile, ...Object.keys(result.metafile.outputs)].filter((path) => /\.(js|css)$/.test(path))) {
  await writeFile(`${path}.gz`, gzipSync(await readFile(path), { level: 9 }));
}
