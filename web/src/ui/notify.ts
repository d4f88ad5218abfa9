// Short messages at the edge of the page. What draws them is loaded with the
// first of them.
import { sentence } from './problem';

type Tone = 'green' | 'red';

// Whether there was a message yet: before it nothing has to draw one.
let wanted = false;
const waiting = new Set<() => void>();
export const toasts = {
  wanted: () => wanted,
  subscribe: (run: () => void) => {
    waiting.add(run);
    return () => waiting.delete(run);
  },
};

async function show(message: string, color: Tone, autoClose: number): Promise<void> {
  if (!wanted) {
    wanted = true;
    waiting.forEach((run) => run());
  }
  const { notifications } = await import('./toasts');
  notifications.show({ message, color, autoClose });
}

export function notifyDone(message: string): void {
  void show(message, 'green', 4000);
}

export function notifyError(error: unknown): void {
  void show(sentence(error), 'red', 10_000);
}
