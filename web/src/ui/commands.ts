// Commands that an open page brings to the palette: what can be done here.
import type { Icon } from '@tabler/icons-react';
import { useEffect, useRef } from 'react';

export interface Command {
  id: string;
  label: string;
  icon?: Icon;
  run: () => void;
}

let held: readonly Command[] = [];
const readers = new Set<() => void>();

function set(next: readonly Command[]): void {
  held = next;
  readers.forEach((run) => run());
}

export const commandSource = {
  all: () => held,
  subscribe(run: () => void): () => void {
    readers.add(run);
    return () => readers.delete(run);
  },
};

/** Offers commands for as long as the component is shown. */
export function useCommands(commands: Command[]): void {
  const now = useRef(commands);
  useEffect(() => {
    now.current = commands;
  });
  const names = commands.map((each) => `${each.id}\n${each.label}`).join('\n\n');
  useEffect(() => {
    // What a command does is looked up when it is run: the page may have drawn anew.
    const mine = now.current.map((each) => ({ ...each, run: () => now.current.find((c) => c.id === each.id)?.run() }));
    set([...held, ...mine]);
    return () => set(held.filter((each) => !mine.includes(each)));
  }, [names]);
}
