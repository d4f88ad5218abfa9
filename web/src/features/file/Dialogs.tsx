// The questions that files ask, one component each.
import { Checkbox, Group, Modal, Select, Stack, TextInput } from '@mantine/core';
import { useState, type ReactNode } from 'react';
import { call, idempotencyKey, writeText } from '@/api';
import { t } from '@/text';
import { Form, FormEnd, useSubmit } from '@/ui';
import { base, coded, folderOf, join, letters, parent, root, shown, wrongName } from './paths';
import { chmod, makeFolder, rename, type Entry } from './store';

interface FormProps {
  title: string;
  submit: string;
  close: () => void;
  send: () => Promise<unknown>;
  done: () => void;
  blocked?: boolean;
  children: ReactNode;
}

function FileDialog({ title, submit, close, send, done, blocked, children }: FormProps) {
  const sending = useSubmit(send);
  return (
    <Modal opened onClose={close} title={title}>
      <Form run={async () => {
        if (blocked || !(await sending.run())) return;
        done();
        close();
      }}>
        <Stack gap="md">
          {children}
          <FormEnd submit={sending} cancel={close} disabled={!!blocked}>
            {submit}
          </FormEnd>
        </Stack>
      </Form>
    </Modal>
  );
}

interface Common {
  instance: string;
  close: () => void;
  done: () => void;
}

function useName(first: string) {
  const [name, setName] = useState(first);
  const wrong = wrongName(name);
  return { name, wrong, field: { value: name, onChange: (e: { currentTarget: { value: string } }) => setName(e.currentTarget.value), error: name && wrong ? t(`file.name_${wrong as 'slash'}`) : undefined } };
}

export function NewFolder({ instance, folder, close, done }: Common & { folder: string }) {
  const { name, wrong, field } = useName('');
  return (
    <FileDialog title={t('file.newFolder')} submit={t('file.make')} close={close} done={done} blocked={wrong !== ''} send={() => makeFolder(instance, join(folder, coded(name)))}>
      <TextInput data-autofocus label={t('common.name')} autoComplete="off" {...field} />
    </FileDialog>
  );
}

export function NewFile({ instance, folder, close, open }: Omit<Common, 'done'> & { folder: string; open: (path: string) => void }) {
  const { name, wrong, field } = useName('');
  const path = join(folder, coded(name));
  return (
    <FileDialog title={t('file.newFile')} submit={t('file.make')} close={close} done={() => open(path)} blocked={wrong !== ''} send={() => writeText(instance, path, '', '')}>
      <TextInput data-autofocus label={t('common.name')} placeholder="server.properties" autoComplete="off" {...field} />
    </FileDialog>
  );
}

export function Rename({ instance, entry, close, done }: Common & { entry: Entry }) {
  const { name, wrong, field } = useName(shown(entry.name));
  const to = join(parent(entry.path), coded(name));
  return (
    <FileDialog title={t('file.renameOf', { name: shown(entry.name) })} submit={t('common.rename')} close={close} done={done} blocked={wrong !== '' || to === entry.path} send={() => rename(instance, [{ from: entry.path, to }])}>
      <TextInput data-autofocus label={t('common.name')} autoComplete="off" {...field} />
    </FileDialog>
  );
}

export function Transfer({ instance, paths, folder, copies, close, done }: Common & { paths: string[]; folder: string; copies: boolean }) {
  const [typed, setTyped] = useState(folder === root ? '/' : `/${shown(folder)}`);
  const to = folderOf(typed);
  const send = async () => {
    if (to === undefined) return;
    if (copies) await call('post', '/api/v1/instances/{id}/files/copy', { path: { id: instance }, body: { paths, to }, idempotencyKey: idempotencyKey() });
    else await rename(instance, paths.map((from) => ({ from, to: join(to, base(from)) })));
  };
  return (
    <FileDialog
      title={t(copies ? 'file.copyTitle' : 'file.moveTitle', { count: paths.length })}
      submit={t(copies ? 'common.copy' : 'file.move')}
      close={close}
      done={done}
      blocked={to === undefined || (!copies && to === folder)}
      send={send}
    >
      <TextInput
        data-autofocus
        label={t('file.toFolder')}
        description={t('file.toFolderHint')}
        value={typed}
        onChange={(e) => setTyped(e.currentTarget.value)}
        error={to === undefined ? t('file.folderBad') : undefined}
        autoComplete="off"
      />
    </FileDialog>
  );
}

const bits: [number, string][] = [[0o400, 'r'], [0o200, 'w'], [0o100, 'x']];

export function Chmod({ instance, entries, close, done }: Common & { entries: Entry[] }) {
  const [mode, setMode] = useState(entries[0]?.mode ?? '0644');
  const value = parseInt(mode, 8);
  const good = /^[0-7]{3,4}$/.test(mode);
  const flip = (bit: number) => setMode(`0${((good ? value : 0) ^ bit).toString(8).padStart(3, '0')}`);
  return (
    <FileDialog title={t('file.chmod')} submit={t('common.save')} close={close} done={done} blocked={!good} send={() => chmod(instance, entries.map((each) => each.path), mode)}>
      <TextInput data-autofocus label={t('file.mode')} classNames={{ input: 'mono' }} value={mode} onChange={(e) => setMode(e.currentTarget.value)} error={good ? undefined : t('file.modeBad')} description={good ? letters(mode) : undefined} />
      <Stack gap="xs">
        {(['owner', 'group', 'others'] as const).map((who, n) => (
          <Group key={who} gap="lg">
            <span style={{ width: '6rem' }}>{t(`file.${who}`)}</span>
            {bits.map(([bit, letter]) => (
              <Checkbox
                key={letter}
                size="xs"
                label={t(`file.mode_${letter as 'r'}`)}
                aria-label={`${t(`file.${who}`)}: ${t(`file.mode_${letter as 'r'}`)}`}
                checked={good && (value & (bit >> (3 * n))) !== 0}
                onChange={() => flip(bit >> (3 * n))}
              />
            ))}
          </Group>
        ))}
      </Stack>
    </FileDialog>
  );
}

const formats = ['zip', 'tar.gz', 'tar.zst', 'tar.xz', 'tar'] as const;
type Format = (typeof formats)[number];

export function Archive({ instance, paths, folder, close, done }: Common & { paths: string[]; folder: string }) {
  const { name, wrong, field } = useName(paths.length === 1 ? shown(base(paths[0] ?? '')) : 'archive');
  const [format, setFormat] = useState<Format>('tar.gz');
  const send = () =>
    call('post', '/api/v1/instances/{id}/files/archive', {
      path: { id: instance },
      body: { format, to: join(folder, `${coded(name)}.${format}`), folder, paths },
      idempotencyKey: idempotencyKey(),
    });
  return (
    <FileDialog title={t('file.archiveTitle', { count: paths.length })} submit={t('file.archive')} close={close} done={done} blocked={wrong !== ''} send={send}>
      <TextInput data-autofocus label={t('common.name')} autoComplete="off" {...field} />
      <Select label={t('file.format')} value={format} onChange={(to) => setFormat((to ?? 'tar.gz') as Format)} data={formats.map((each) => ({ value: each, label: `.${each}` }))} />
    </FileDialog>
  );
}

export function Extract({ instance, entry, close, done }: Common & { entry: Entry }) {
  const folder = parent(entry.path);
  const [typed, setTyped] = useState(folder === root ? '/' : `/${shown(folder)}`);
  const [overwrite, setOverwrite] = useState(false);
  const to = folderOf(typed);
  const send = () => call('post', '/api/v1/instances/{id}/files/extract', { path: { id: instance }, body: { path: entry.path, to: to ?? root, overwrite }, idempotencyKey: idempotencyKey() });
  return (
    <FileDialog title={t('file.extractOf', { name: shown(entry.name) })} submit={t('file.extract')} close={close} done={done} blocked={to === undefined} send={send}>
      <TextInput data-autofocus label={t('file.toFolder')} value={typed} onChange={(e) => setTyped(e.currentTarget.value)} error={to === undefined ? t('file.folderBad') : undefined} autoComplete="off" />
      <Checkbox label={t('file.overwrite')} checked={overwrite} onChange={(e) => setOverwrite(e.currentTarget.checked)} />
    </FileDialog>
  );
}

export function Pull({ instance, folder, close, done }: Common & { folder: string }) {
  const [url, setUrl] = useState('');
  const [overwrite, setOverwrite] = useState(false);
  const good = /^https?:\/\/.+/.test(url);
  const send = () => call('post', '/api/v1/instances/{id}/files/pull', { path: { id: instance }, body: { url, to: folder === root ? './' : `${folder}/`, overwrite }, idempotencyKey: idempotencyKey() });
  return (
    <FileDialog title={t('file.pull')} submit={t('file.pullSubmit')} close={close} done={done} blocked={!good} send={send}>
      <TextInput data-autofocus type="url" label={t('file.url')} description={t('file.urlHint')} placeholder="https://" value={url} onChange={(e) => setUrl(e.currentTarget.value)} error={url && !good ? t('file.urlBad') : undefined} />
      <Checkbox label={t('file.overwrite')} checked={overwrite} onChange={(e) => setOverwrite(e.currentTarget.checked)} />
    </FileDialog>
  );
}
