import { ActionIcon, Button, Group, Progress } from '@mantine/core';
import { IconX } from '@tabler/icons-react';
import { useEffect, useSyncExternalStore } from 'react';
import { bytes, t } from '@/text';
import { Section, sentence } from '@/ui';
import { shown } from './paths';
import type { UploadItem, UploadQueue } from './uploads';
import css from './file.module.css';

/** The uploads under way, and what came of those before. */
export function Uploads({ queue }: { queue: UploadQueue }) {
  const items = useSyncExternalStore(queue.subscribe, queue.all);
  const busy = queue.busy;
  useEffect(() => {
    if (!busy) return;
    const ask = (e: BeforeUnloadEvent) => e.preventDefault();
    window.addEventListener('beforeunload', ask);
    return () => window.removeEventListener('beforeunload', ask);
  }, [busy]);
  if (items.length === 0) return null;
  const total = items.reduce((sum, each) => sum + each.size, 0);
  const sent = items.reduce((sum, each) => sum + (each.state === 'done' ? each.size : each.sent), 0);
  const done = items.filter((each) => each.state === 'done').length;
  return (
    <Section
      flush
      title={t('file.uploads', { done, count: items.length })}
      hint={`${bytes(sent)} / ${bytes(total)}`}
      actions={
        busy ? (
          <Button onClick={() => queue.cancelAll()}>{t('common.cancel')}</Button>
        ) : (
          <Button onClick={() => queue.clear()}>{t('common.close')}</Button>
        )
      }
    >
      <ul className={css.uploads}>
        {items.slice(-200).map((item) => (
          <Item key={item.id} item={item} queue={queue} />
        ))}
      </ul>
    </Section>
  );
}

function Item({ item, queue }: { item: UploadItem; queue: UploadQueue }) {
  const share = item.size > 0 ? (item.sent / item.size) * 100 : item.state === 'done' ? 100 : 0;
  const open = item.state === 'waiting' || item.state === 'sending';
  const taken = item.error?.status === 409 || item.error?.code === 'CONFLICT';
  return (
    <li className={css.upload}>
      <div>
        {shown(item.path)}
        {item.state === 'failed' && <div role="alert">{sentence(item.error)}</div>}
      </div>
      {open ? <Progress size="sm" value={share} aria-label={t('file.uploadOf', { name: shown(item.path) })} /> : <span className="quiet">{t(`file.upload_${item.state as 'done'}`)}</span>}
      <Group gap={4} wrap="nowrap">
        {item.state === 'failed' && <Button onClick={() => queue.again(item.id, taken)}>{taken ? t('file.replace') : t('common.retry')}</Button>}
        {open && (
          <ActionIcon aria-label={t('file.cancelUpload', { name: shown(item.path) })} onClick={() => queue.cancel(item.id)}>
            <IconX size={16} />
          </ActionIcon>
        )}
      </Group>
    </li>
  );
}
