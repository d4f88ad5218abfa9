/** Ports for a node that has none yet. */
export const poolRange = '25565-25599';

/** 0: a node is missing, 1: choose an image, 2: its settings, 3: it is being deployed. */
export function stepOf({ online, image, job }: { online: boolean; image: boolean; job: boolean }): 0 | 1 | 2 | 3 {
  if (job) return 3;
  if (!online) return 0;
  return image ? 2 : 1;
}
