import { describe, expect, it } from 'vitest';
import { connectAddress, may, verbs } from './model';

const port = (ip: string, host: number, primary = false) => ({ ip, host, container: 1, primary });

describe('an instance', () => {
  it('is connected to at its primary port', () => {
    expect(connectAddress([port('0.0.0.0', 1), port('0.0.0.0', 2, true)], 'node.example')).toBe('node.example:2');
    expect(connectAddress([port('10.0.0.1', 1)], 'node.example')).toBe('10.0.0.1:1');
    expect(connectAddress([port('::', 1)], '2001:db8::1')).toBe('[2001:db8::1]:1');
    expect(connectAddress([port('0.0.0.0', 1)])).toBe(':1');
    expect(connectAddress([])).toBe('');
  });

  it('takes the orders that make sense', () => {
    const at = (status: string, actual: string, suspended = false) => verbs({ status, actual, suspended, phase: 'ready' } as never);
    expect(at('running', 'running')).toEqual({ start: false, stop: true, restart: true, kill: true });
    expect(at('stopped', 'stopped')).toEqual({ start: true, stop: false, restart: false, kill: false });
    expect(at('stopping', 'stopping')).toEqual({ start: false, stop: false, restart: false, kill: true });
    expect(at('crashed', 'crashed').start).toBe(true);
    expect(Object.values(at('suspended', 'stopped', true))).toEqual([false, false, false, false]);
    expect(Object.values(at('installing', 'unknown'))).toEqual([false, false, false, false]);
  });

  it('lets a subuser do what he was given', () => {
    expect(may({ rights: ['console.read'] }, 'console.read')).toBe(true);
    expect(may({ rights: ['console.read'] }, 'power')).toBe(false);
    expect(may({ rights: null }, 'power')).toBe(false);
  });
});
