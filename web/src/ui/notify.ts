// Short messages at the edge of the page.
import { notifications } from '@mantine/notifications';
import { sentence } from './problem';

export function notifyDone(message: string): void {
  notifications.show({ message, color: 'green', autoClose: 4000 });
}

export function notifyError(error: unknown): void {
  notifications.show({ message: sentence(error), color: 'red', autoClose: 10_000 });
}

