/** Where to go after the login: a path of this panel, whatever the address says. */
export function inside(to: string | null): string {
  if (!to?.startsWith('/') || /^\/[/\\]/.test(to) || /\s/.test(to)) return '/';
  return /^\/(login|forgot|link)\b/.test(to) ? '/' : to;
}
