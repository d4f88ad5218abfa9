// Where a chart's axes have their marks, and how moments are written there.
import { dateTime } from '@/text';

/** bytes: by powers of two; whole: things that are counted; hundredths: all else. */
export type Steps = 'bytes' | 'whole' | 'hundredths';

const powers = Array.from({ length: 61 }, (_, n) => 2 ** n);
const decades = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, n) => [1, 2, 5].map((m) => Number(`${m}e${from + n}`))).flat();

/** The distances that two marks of an axis of figures may have: none so small that two would read alike. */
export const distances: Record<Steps, number[]> = { bytes: powers, whole: decades(0, 15), hundredths: decades(-2, 15) };

/** What an axis shows at least, so that nothing looks like much. */
export const least: Record<Steps, number> = { bytes: 1024, whole: 4, hundredths: 0.04 };

/** A moment at an axis whose marks are so many seconds apart: seconds where minutes would repeat, the day where it begins. */
export function moment(at: number, apart: number): string {
  const when = new Date(at * 1000);
  if (apart < 60) return dateTime(when, { timeStyle: 'medium' });
  const midnight = when.getHours() === 0 && when.getMinutes() === 0;
  return apart >= 86_400 || (apart >= 3600 && midnight) ? dateTime(when, { day: 'numeric', month: 'short' }) : dateTime(when, { timeStyle: 'short' });
}
