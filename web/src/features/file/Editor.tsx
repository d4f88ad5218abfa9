import { Button, Group, Modal, Stack } from '@mantine/core';
import { IconArrowLeft, IconDeviceFloppy, IconDownload, IconFileOff } from '@tabler/icons-react';
import type { EditorView } from '@codemirror/view';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useEffect, useRef, useState } from 'react';
import { ApiError, download, readText, writeText, type TextFile } from '@/api';
import { t } from '@/text';
import { EmptyState, ErrorNotice, notifyDone, notifyError, PageSkeleton, Section } from '@/ui';
import { openEditor, replaceText, textOf } from '@/parts/editor/codemirror';
import { base, shown } from './paths';
import { filesKey } from './store';
import css from './file.module.css';

interface Props {
  instance: string;
  path: string;
  writes: boolean;
  close: () => void;
}

/** One file as text: read, changed, written back over what was read. */
export default function Editor(props: Props) {
  const { instance, path, close } = props;
  const found = useQuery({
    queryKey: filesKey(instance, 'text', path),
    queryFn: ({ signal }) => readText(instance, path, signal),
    // Only when it is opened: what is being edited must not change by itself.
    staleTime: Infinity,
    gcTime: 0,
    retry: false,
    refetchOnWindowFocus: false,
    refetchOnReconnect: false,
  });
  if (found.error instanceof ApiError && found.error.code === 'BINARY') {
    return (
      <EmptyState
        icon={IconFileOff}
        title={t('file.binary')}
        action={
          <Group gap="xs">
            <Button onClick={close}>{t('common.back')}</Button>
            <Button variant="filled" leftSection={<IconDownload size={14} aria-hidden />} onClick={() => void download(instance, { path }).catch(notifyError)}>
              {t('common.download')}
            </Button>
          </Group>
        }
      >
        {t('file.binaryHint')}
      </EmptyState>
    );
  }
  if (found.error) {
    return (
      <Stack>
        <ErrorNotice error={found.error} retry={() => void found.refetch()} />
        <Group>
          <Button leftSection={<IconArrowLeft size={14} aria-hidden />} onClick={close}>
            {t('common.back')}
          </Button>
        </Group>
      </Stack>
    );
  }
  return found.data ? <Open {...props} file={found.data} /> : <PageSkeleton />;
}

function Open({ instance, path, writes, close, file }: Props & { file: TextFile }) {
  const host = useRef<HTMLDivElement>(null);
  const view = useRef<EditorView>(undefined);
  const etag = useRef(file.etag);
  const [dirty, setDirty] = useState(false);
  const [busy, setBusy] = useState(false);
  const [conflict, setConflict] = useState(false);
  const [leaving, setLeaving] = useState(false);
  const client = useQueryClient();
  const name = shown(base(path));

  // The tag of what was read, '*' to write over whatever is there now.
  const save = async (over?: '*') => {
    const now = view.current;
    if (!now || busy || !writes) return;
    setBusy(true);
    const text = textOf(now);
    try {
      const entry = await writeText(instance, path, text, over ?? etag.current);
      etag.current = entry.etag ?? '';
      setConflict(false);
      setDirty(textOf(now) !== text);
      notifyDone(t('file.saved', { name }));
      void client.invalidateQueries({ queryKey: filesKey(instance, 'list') });
    } catch (error) {
      if (error instanceof ApiError && error.status === 412) setConflict(true);
      else notifyError(error);
    } finally {
      setBusy(false);
    }
  };
  const reload = async () => {
    const now = view.current;
    if (!now) return;
    try {
      const fresh = await readText(instance, path);
      etag.current = fresh.etag;
      replaceText(now, fresh.text);
      setDirty(false);
      setConflict(false);
    } catch (error) {
      notifyError(error);
    }
  };

  const saveNow = useRef(save);
  useEffect(() => {
    saveNow.current = save;
  });
  useEffect(() => {
    if (!host.current) return;
    const opened = openEditor(host.current, base(path), file.text, { label: t('file.editorOf', { name: shown(path) }), readOnly: !writes, changed: () => setDirty(true), save: () => void saveNow.current() });
    view.current = opened;
    opened.focus();
    return () => {
      view.current = undefined;
      opened.destroy();
    };
  }, [file, path, writes]);
  useUnsaved(dirty);

  return (
    <Section flush>
      <div className={css.bar}>
        <Button leftSection={<IconArrowLeft size={14} aria-hidden />} onClick={() => (dirty ? setLeaving(true) : close())}>
          {t('common.back')}
        </Button>
        <span className="mono" style={{ flex: 1, minWidth: 0, overflowWrap: 'anywhere' }}>
          {shown(path)}
          {dirty && <span className="quiet"> · {t('file.unsaved')}</span>}
        </span>
        <Button leftSection={<IconDownload size={14} aria-hidden />} onClick={() => void download(instance, { path }).catch(notifyError)}>
          {t('common.download')}
        </Button>
        {writes && (
          <Button variant="filled" leftSection={<IconDeviceFloppy size={14} aria-hidden />} loading={busy} disabled={!dirty} onClick={() => void save()}>
            {t('common.save')}
          </Button>
        )}
      </div>
      <div ref={host} className={css.editor} />
      <Modal opened={conflict} onClose={() => setConflict(false)} title={t('file.conflict')}>
        <Stack gap="md">
          <p>{t('file.conflictHint', { name })}</p>
          <Group justify="flex-end" gap="xs">
            <Button onClick={() => setConflict(false)}>{t('file.conflictBack')}</Button>
            <Button onClick={() => void reload()}>{t('file.conflictTheirs')}</Button>
            <Button variant="filled" color="red" loading={busy} onClick={() => void save('*')}>
              {t('file.conflictMine')}
            </Button>
          </Group>
        </Stack>
      </Modal>
      <Modal opened={leaving} onClose={() => setLeaving(false)} title={t('file.leave')}>
        <Stack gap="md">
          <p>{t('file.leaveHint', { name })}</p>
          <Group justify="flex-end" gap="xs">
            <Button onClick={() => setLeaving(false)}>{t('file.leaveStay')}</Button>
            <Button variant="filled" color="red" onClick={close}>
              {t('file.leaveDrop')}
            </Button>
          </Group>
        </Stack>
      </Modal>
    </Section>
  );
}

/** Asks before the page or the file is left with changes that are not written. */
function useUnsaved(dirty: boolean): void {
  useEffect(() => {
    if (!dirty) return;
    const ask = (e: BeforeUnloadEvent) => e.preventDefault();
    // Links within the panel load nothing: they are asked for here, before the router sees them.
    const click = (e: MouseEvent) => {
      const link = (e.target as Element).closest?.('a[href]');
      if (!link || link.getAttribute('target') === '_blank' || e.ctrlKey || e.metaKey) return;
      if (window.confirm(t('file.leave'))) return;
      e.preventDefault();
      e.stopPropagation();
    };
    window.addEventListener('beforeunload', ask);
    document.addEventListener('click', click, true);
    return () => {
      window.removeEventListener('beforeunload', ask);
      document.removeEventListener('click', click, true);
    };
  }, [dirty]);
}
