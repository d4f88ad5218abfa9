import { describe, expect, it } from 'vitest';
import { everyRight, normal, presets } from './rights';

describe('rights of a subuser', () => {
  it('always include seeing it, and what the others need', () => {
    expect(normal([], everyRight)).toEqual(['instance.see']);
    expect(normal(['console.write'], everyRight)).toEqual(['instance.see', 'console.read', 'console.write']);
    expect(normal(['files.write'], everyRight)).toEqual(['instance.see', 'files.read', 'files.write']);
  });

  it('are never more than the giver has', () => {
    expect(normal(presets.All, ['instance.see', 'power'])).toEqual(['instance.see', 'power']);
  });
});
