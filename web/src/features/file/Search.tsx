import { Button, Checkbox, TextInput } from '@mantine/core';
import { useState } from 'react';
import { call, type View } from '@/api';
import { t } from '@/text';
import { EmptyState, ErrorNotice, Form, RowSkeletons, useSubmit } from '@/ui';
import { root, shown } from './paths';
import type { Entry } from './store';
import css from './file.module.css';

interface Props {
  instance: string;
  folder: string;
  open: (entry: Entry) => void;
  close: () => void;
}

/** Finds files beneath a folder by their name, by what is in them, or by both. */
export function Search({ instance, folder, open, close }: Props) {
  const [name, setName] = useState('');
  const [content, setContent] = useState('');
  const [exact, setExact] = useState(false);
  const [found, setFound] = useState<View<'FileFoundView'>>();
  const body = { path: folder, ...(name && { name }), ...(content && { content, case: exact }) };
  const send = useSubmit(async () => setFound(await call('post', '/api/v1/instances/{id}/files/search', { path: { id: instance }, body })), []);
  const hits = found?.hits ?? [];
  return (
    <>
      <Form className={css.bar} role="search" run={() => (name || content) && send.run()}>
        <TextInput autoFocus aria-label={t('file.searchName')} placeholder={t('file.searchName')} value={name} onChange={(e) => setName(e.currentTarget.value)} style={{ flex: '1 1 10rem' }} />
        <TextInput aria-label={t('file.searchContent')} placeholder={t('file.searchContent')} value={content} onChange={(e) => setContent(e.currentTarget.value)} style={{ flex: '1 1 10rem' }} />
        <Checkbox label={t('file.searchCase')} checked={exact} onChange={(e) => setExact(e.currentTarget.checked)} />
        <Button type="submit" size="sm" variant="filled" loading={send.busy} disabled={!name && !content}>
          {t('common.search')}
        </Button>
        <Button size="sm" onClick={close}>
          {t('common.close')}
        </Button>
      </Form>
      <div className={css.rows} role="status">
        {send.error ? (
          <div className={css.wait}>
            <ErrorNotice error={send.error} />
          </div>
        ) : send.busy ? (
          <div className={css.wait}>
            <RowSkeletons />
          </div>
        ) : !found ? (
          <EmptyState title={t('file.searchTitle', { folder: folder === root ? '/' : shown(folder) })}>{t('file.searchHint')}</EmptyState>
        ) : hits.length === 0 ? (
          <EmptyState title={t('common.nothingFound')}>{t('common.nothingFoundHint')}</EmptyState>
        ) : (
          <>
            {found.cut && <p className={css.hit}>{t('file.searchCut')}</p>}
            {hits.map((hit, n) => (
              <div key={n} className={css.hit}>
                <button type="button" className={css.open} onClick={() => open(hit)}>
                  {shown(hit.path)}
                  {hit.line ? `:${hit.line}` : ''}
                </button>
                {hit.text && <span className={css.line}>{hit.text}</span>}
              </div>
            ))}
          </>
        )}
      </div>
    </>
  );
}
