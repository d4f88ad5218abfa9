// What to do when something went wrong. The controller's own sentence is shown
// first; these stand in where it could not say anything.
export const error = {
  title: 'That did not work',
  unreachable: 'The controller does not answer. Check your connection; this page tries again by itself.',
  forbidden: 'You may not do this. Ask an administrator for the permission.',
  notFound: 'There is no such thing, or you may not see it.',
  rateLimited: 'Too many calls in a short time. Wait a minute and try again.',
  internal: 'The controller failed at this. Try again; if it stays, tell your administrator the request id.',
  unknown: 'The answer was not understood. Reload the page; if it stays, tell your administrator.',
  requestId: 'Request id {id}',
  crashed: 'This page broke',
  crashedHint: 'Your work at the controller is not affected. Reload the page; if it stays, tell your administrator what you did before.',
  reload: 'Reload',
  pageTitle: 'There is no such page',
  pageHint: 'The address is wrong, or what it led to is gone.',
  home: 'To the first page',
} as const;
