import { useEffect, useState } from 'react';
import { startUpload } from '@/api';
import { UploadQueue, type Sender } from './uploads';

// One queue for each instance, for as long as the panel is open: an upload goes
// on while one looks at another page.
const queues = new Map<string, UploadQueue>();

function senderOf(instance: string): Sender {
  return (file, path, overwrite, hooks) => startUpload(instance, file, path, overwrite, hooks);
}

export function useUploads(instance: string, onDone: () => void): UploadQueue {
  const [queue] = useState(() => {
    const held = queues.get(instance) ?? new UploadQueue(senderOf(instance));
    queues.set(instance, held);
    return held;
  });
  useEffect(() => queue.whenDone(onDone), [queue, onDone]);
  return queue;
}
