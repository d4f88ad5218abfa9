import js from '@eslint/js';
import globals from 'globals';
import jsxA11y from 'eslint-plugin-jsx-a11y';
import reactHooks from 'eslint-plugin-react-hooks';
import tseslint from 'typescript-eslint';

// Who may know whom. api and text know nothing of the panel; ui knows text;
// parts are pieces for several features that know the API; a feature knows these
// four, and of other features nothing; app knows all.
const none = (...group) => ({ group, message: 'See "A page of the panel" in CONTRIBUTING.md: who may know whom.' });
const room = (files, ...groups) => ({
  files,
  ignores: ['**/*.test.ts', '**/*.test.tsx'],
  rules: { 'no-restricted-imports': ['error', { patterns: groups }] },
});

const doors = ['fetch', 'WebSocket', 'EventSource', 'XMLHttpRequest'].map((name) => ({
  name,
  message: 'Only src/api talks to the controller.',
}));

export default tseslint.config(
  { ignores: ['dist', 'node_modules', 'src/api/schema.ts'] },
  js.configs.recommended,
  ...tseslint.configs.recommended,
  jsxA11y.flatConfigs.recommended,
  reactHooks.configs.flat['recommended-latest'],
  {
    languageOptions: { globals: { ...globals.browser } },
    rules: {
      'no-restricted-globals': ['error', ...doors],
      'no-console': 'error',
      'max-lines': ['error', 600],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_' }],
      // Mantine's inputs are labelled by their prop; autofocus is only used on the one field of a dialog.
      'jsx-a11y/no-autofocus': 'off',
    },
  },
  room(['src/api/**'], none('@/ui', '@/ui/**', '@/parts', '@/parts/**', '@/features/**', '@/app', '@/app/**', '../*')),
  room(['src/text/**'], none('@/parts', '@/parts/**', '@/api', '@/api/**', '@/ui', '@/ui/**', '@/features/**', '@/app', '@/app/**')),
  room(['src/ui/**'], none('@/parts', '@/parts/**', '@/api', '@/api/**', '@/features/**', '@/app', '@/app/**', '../*')),
  room(['src/parts/**'], none('@/features/**', '@/app', '@/app/**', '../*')),
  room(['src/features/**'], none('@/features/**', '@/app', '@/app/**', '../*')),
  { files: ['src/api/**', 'tests/**'], rules: { 'no-restricted-globals': 'off' } },
  { files: ['public/**', '*.js', 'tests/**', 'journeys/**'], languageOptions: { globals: { ...globals.browser, ...globals.node } }, rules: { 'no-console': 'off', 'no-restricted-globals': 'off' } },
);
