import { describe, expect, it } from 'vitest';
import { noHistory, sent, step } from './history';

describe('commands that were sent', () => {
  it('come back by going up, and what was typed by going down', () => {
    let history = sent(sent(noHistory, 'one'), 'two');
    const up = step(history, -1, 'thr');
    expect(up?.[1]).toBe('two');
    history = up?.[0] ?? history;
    const upper = step(history, -1, 'two');
    expect(upper?.[1]).toBe('one');
    expect(step(upper?.[0] ?? history, -1, 'one')).toBeUndefined();
    const down = step(upper?.[0] ?? history, 1, 'one');
    expect(down?.[1]).toBe('two');
    expect(step(down?.[0] ?? history, 1, 'two')?.[1]).toBe('thr');
  });

  it('keeps a command that was repeated once, and none that is empty', () => {
    const history = sent(sent(sent(noHistory, 'a'), 'a'), '');
    expect(history.past).toEqual(['a']);
  });
});
