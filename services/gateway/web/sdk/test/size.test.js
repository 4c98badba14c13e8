import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';

const KIB = 1024;
const sdk = fileURLToPath(new URL('..', import.meta.url));
const esbuild = fileURLToPath(new URL('../../../../../tests/browser/node_modules/esbuild/lib/main.js', import.meta.url));
const isRequired = process.env.VIBERCHAT_TEST_REQUIRE_ENGINES === '1';
const skip = !existsSync(esbuild) && !isRequired && 'no esbuild (make engines)';

/** What an application pays for an import, minified and gzipped. */
for (const [shape, contents, bytesMax] of [
  ['the client', `export * from './viberchat.js'`, 10 * KIB],
  ['the store for a browser', `export * from './idb-store.js'`, 1 * KIB],
]) {
  test(`${shape} is at most ${bytesMax / KIB} KiB`, { skip }, async (t) => {
    const { build } = await import(esbuild);
    const { outputFiles } = await build({
      stdin: { contents, resolveDir: sdk },
      bundle: true,
      minify: true,
      write: false,
      format: 'esm',
      target: 'es2022',
    });
    const bytes = gzipSync(outputFiles[0].contents, { level: 9 }).length;
    t.diagnostic(`${bytes} bytes`);
    assert.ok(bytes <= bytesMax, `${bytes} bytes`);
  });
}
