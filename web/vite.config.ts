import { fileURLToPath } from 'node:url';
import react from '@vitejs/plugin-react';
import type { Plugin } from 'vite';
import { defineConfig } from 'vitest/config';

// Where a controller runs while the pages are worked on.
const controller = process.env.BERTH_CONTROLLER ?? 'http://127.0.0.1:8080';

// The controller looks at Origin: calls that went through here come from it.
const toController = {
  target: controller,
  changeOrigin: true,
  ws: true,
  headers: { origin: new URL(controller).origin },
};

// What there is no page without, be it the login.
const drawnEverywhere =
  /@mantine\/core\/esm\/components\/(ActionIcon|Anchor|Button|CloseButton|Divider|Group|Input|InputBase|Loader|PasswordInput|Stack|Text|TextInput|UnstyledButton)\/|@mantine\/hooks\/esm\/use-(id|uncontrolled)\/|src\/ui\/(Form|Mark|useSubmit)/;

// Chromium translates each function when it is first called, while the page waits.
// A file that begins with this line is translated as a whole in the background, as
// it comes in. Said of all files it would be work for nothing: these are what is
// run before the pages that somebody meets first can be used.
const calledAtOnce: Plugin = {
  name: 'called-at-once',
  generateBundle: {
    order: 'post', // Vite, too, puts something at the beginning
    handler(_, files) {
      for (const file of Object.values(files)) {
        if (file.type === 'chunk' && /^(index|first|login|Shell|InstancesPage|OverviewPage)$/.test(file.name)) file.code = `//# allFunctionsCalledOnLoad\n${file.code}`;
      }
    },
  },
};

export default defineConfig({
  plugins: [react(), calledAtOnce],
  resolve: { alias: { '@': fileURLToPath(new URL('src', import.meta.url)) } },
  build: {
    // dist itself holds the page that is committed; see ../embed.go.
    outDir: 'dist/app',
    emptyOutDir: true,
    manifest: 'manifest.json',
    // The policy of the pages allows no data: address but of images.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 800,
    rolldownOptions: {
      output: {
        // What every page begins with is one file: each by itself is a round to the
        // controller, and another thing to start. Other small pieces that pages share stay
        // by themselves: put together, each page would load more than its own.
        codeSplitting: {
          groups: [
            { name: 'first', tags: ['$initial'] },
            { name: 'first', test: drawnEverywhere },
            { name: 'login', test: /src\/features\/login\/.*\.tsx$/ },
          ],
        },
      },
    },
  },
  server: {
    proxy: {
      '/api': toController,
      '/docs': toController,
      '/openapi.json': toController,
      '/install': toController,
    },
  },
  test: {
    environment: 'jsdom',
    setupFiles: ['tests/setup.ts'],
    include: ['src/**/*.test.{ts,tsx}', 'tests/**/*.test.{ts,tsx}'],
    css: false,
    testTimeout: 60_000,
  },
});
