import { useLiveLink } from '@/api';

/** Nothing to see: what the controller tells by itself reaches the pages through it. */
export function LiveLink() {
  useLiveLink();
  return null;
}
