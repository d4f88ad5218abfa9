import { beforeAll, describe, expect, it } from 'vitest';
import { bytes, cores, number, speak } from '@/text';
import { distances, least, moment, type Steps } from './ticks';

beforeAll(() => speak('de'));

describe('the marks of a chart', () => {
  const formats: Record<Steps, (value: number) => string> = { bytes, whole: (value) => number(Math.round(value)), hundredths: cores };

  it.each(Object.keys(distances) as Steps[])('are all different: %s', (steps) => {
    for (const apart of distances[steps].filter((each) => each < 1e12)) {
      const texts = [0, 1, 2, 3, 4].map((n) => formats[steps](n * apart));
      expect(new Set(texts).size, `${apart}: ${texts.join(' ')}`).toBe(5);
    }
    expect(distances[steps].some((each) => each * 4 <= least[steps])).toBe(true);
  });

  it('say seconds where minutes would repeat, and days where they begin', () => {
    const noon = new Date(2026, 10, 22, 12, 0, 5).getTime() / 1000;
    const midnight = new Date(2026, 10, 23).getTime() / 1000;
    expect(moment(noon, 5)).toBe('12:00:05');
    expect(moment(noon, 60)).toBe('12:00');
    expect(moment(midnight, 300)).toBe('00:00');
    expect(moment(midnight, 43_200)).toBe('23. Nov.');
    expect(moment(midnight + 43_200, 43_200)).toBe('12:00');
    expect(moment(midnight, 172_800)).toBe('23. Nov.');
  });
});
