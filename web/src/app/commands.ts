// What the command palette offers beside the pages: what the open page brings.
import { useSyncExternalStore } from 'react';
import { commandSource, type Command } from '@/ui/commands';

export function useContributed(): readonly Command[] {
  return useSyncExternalStore(commandSource.subscribe, commandSource.all);
}
