import { describe, expect, it } from 'vitest';
import { inside } from './inside';

describe('where a login leads', () => {
  it.each(['/instances/1', '/account?x=1', '/nodes#a'])('goes on to %s', (to) => expect(inside(to)).toBe(to));

  it.each([null, '', 'https://evil.example', '//evil.example', '/\\evil.example', '\\\\evil', 'javascript:alert(1)', '/\t/evil.example', '/login', '/link#x'])(
    'does not leave the panel for %j',
    (to) => expect(inside(to)).toBe('/'),
  );
});
