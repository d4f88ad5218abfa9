// The names that answers are cached under. A key begins with the word of its
// feature, so that an event about a thing can name all that shows it.
export const keys = {
  session: ['session'] as const,
  panel: ['panel'] as const,
  me: (...more: unknown[]) => ['me', ...more] as const,
  instances: (...more: unknown[]) => ['instances', ...more] as const,
  nodes: (...more: unknown[]) => ['nodes', ...more] as const,
  images: (...more: unknown[]) => ['images', ...more] as const,
  registries: (...more: unknown[]) => ['registries', ...more] as const,
  users: (...more: unknown[]) => ['users', ...more] as const,
  roles: (...more: unknown[]) => ['roles', ...more] as const,
  jobs: (...more: unknown[]) => ['jobs', ...more] as const,
  keys: (...more: unknown[]) => ['keys', ...more] as const,
  activity: (...more: unknown[]) => ['activity', ...more] as const,
  settings: (...more: unknown[]) => ['settings', ...more] as const,
  system: (...more: unknown[]) => ['system', ...more] as const,
};
