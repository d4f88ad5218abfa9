import { Button, FileButton, Menu } from '@mantine/core';
import { useMediaQuery } from '@mantine/hooks';
import {
  IconArchive, IconArrowsMove, IconCloudDownload, IconCopy, IconDownload, IconEdit, IconFilePlus, IconFolderOpen, IconFolderPlus, IconLock, IconPackageImport, IconPlus, IconSearch,
  IconTrash, IconUpload,
} from '@tabler/icons-react';
import { useCallback, useMemo, useRef, useState, type DragEvent, type ReactNode } from 'react';
import { call, download, idempotencyKey } from '@/api';
import { number, t } from '@/text';
import { ConfirmByName, EmptyState, ErrorNotice, notifyDone, notifyError, RowSkeletons, Section, useCommands } from '@/ui';
import { Archive, Chmod, Extract, NewFile, NewFolder, Pull, Rename, Transfer } from './Dialogs';
import { chosen as chosenFiles, dropped } from './dropped';
import { FileJobs } from './FileJobs';
import { FileRows } from './FileRows';
import { Folders } from './Folders';
import { base, crumbs, editorMost, isArchive, looksBinary, root, shown } from './paths';
import { Search } from './Search';
import { useUploads } from './sending';
import { useFolder, useRefresh, type Entry, type SortBy } from './store';
import { Uploads } from './Uploads';
import css from './file.module.css';

interface Props {
  instance: string;
  folder: string;
  writes: boolean;
  onFolder: (path: string) => void;
  onFile: (path: string) => void;
}

type Asking =
  | { what: 'folder' | 'file' | 'pull' }
  | { what: 'rename' | 'extract'; entry: Entry }
  | { what: 'copy' | 'move' | 'archive' | 'delete'; paths: string[] }
  | { what: 'chmod'; entries: Entry[] };

/** One folder: what is in it, and all that can be done with it. */
export function Browser({ instance, folder, writes, onFolder, onFile }: Props) {
  const [sort, setSort] = useState<{ by: SortBy; down: boolean }>({ by: 'name', down: false });
  const [picked, setPicked] = useState<{ folder: string; paths: ReadonlySet<string> }>({ folder, paths: new Set() });
  const [asking, setAsking] = useState<Asking>();
  const [searching, setSearching] = useState(false);
  const found = useFolder(instance, folder, sort.by, sort.down);
  const refresh = useRefresh(instance);
  const uploads = useUploads(instance, refresh);
  const wide = useMediaQuery('(min-width: 64rem)', false, { getInitialValueInEffect: false }); // room for the tree
  const entries = useMemo(() => found.data?.pages.flatMap((page) => page.items) ?? [], [found.data]);
  const total = found.data?.pages[0]?.total ?? 0;
  const known = useMemo(() => new Set(entries.map((each) => each.path)), [entries]);
  const chosen = useMemo(() => new Set(picked.folder === folder ? [...picked.paths].filter((each) => known.has(each)) : []), [picked, folder, known]);
  const choose = (paths: ReadonlySet<string>) => setPicked({ folder, paths });
  const { fetchNextPage, hasNextPage, isFetchingNextPage } = found;
  const onEnd = useCallback(() => {
    if (hasNextPage && !isFetchingNextPage) void fetchNextPage();
  }, [fetchNextPage, hasNextPage, isFetchingNextPage]);

  const get = (what: Parameters<typeof download>[1]) => void download(instance, what).catch(notifyError);
  const getMany = (paths: string[]) => get({ bundle: { format: 'zip', folder, paths } });
  const open = (entry: Entry) => {
    if (entry.kind === 'dir') return onFolder(entry.path);
    if (entry.kind === 'other') return;
    if (entry.kind === 'file' && (entry.size > editorMost || looksBinary(entry.name))) return get({ path: entry.path });
    onFile(entry.path);
  };
  const close = () => setAsking(undefined);
  const done = () => {
    choose(new Set());
    refresh();
  };
  useCommands(
    writes
      ? [
          { id: 'file.new', label: t('file.newFile'), icon: IconFilePlus, run: () => setAsking({ what: 'file' }) },
          { id: 'file.folder', label: t('file.newFolder'), icon: IconFolderPlus, run: () => setAsking({ what: 'folder' }) },
          { id: 'file.search', label: t('file.search'), icon: IconSearch, run: () => setSearching(true) },
        ]
      : [{ id: 'file.search', label: t('file.search'), icon: IconSearch, run: () => setSearching(true) }],
  );
  const menu = (entry: Entry): ReactNode => (
    <EntryMenu entry={entry} writes={writes} open={() => open(entry)} ask={setAsking} get={() => (entry.kind === 'dir' ? getMany([entry.path]) : get({ path: entry.path }))} />
  );
  const many = [...chosen];
  return (
    <>
      <Uploads queue={uploads} />
      <FileJobs instance={instance} onEnd={refresh} />
      <DropZone enabled={writes} onFiles={(files) => uploads.add(files)} folder={folder}>
        <Section flush>
          <div className={css.bar}>
            <Crumbs folder={folder} onFolder={onFolder} />
            {many.length > 0 ? (
              <ChosenBar count={many.length} writes={writes} get={() => getMany(many)} ask={(what) => setAsking(what === 'chmod' ? { what, entries: entries.filter((each) => chosen.has(each.path)) } : { what, paths: many })} clear={() => choose(new Set())} />
            ) : (
              <>
                <Button leftSection={<IconSearch size={14} aria-hidden />} aria-pressed={searching} onClick={() => setSearching(!searching)}>
                  {t('common.search')}
                </Button>
                {writes && <AddMenu ask={setAsking} onFiles={(files) => uploads.add(chosenFiles(files, folder))} />}
              </>
            )}
          </div>
          <div className={css.body}>
            {wide && <Folders instance={instance} folder={folder} onFolder={onFolder} />}
            <div className={css.inside}>
              {searching ? (
                <Search instance={instance} folder={folder} open={open} close={() => setSearching(false)} />
              ) : found.error && !found.data ? (
                <div className={css.wait}>
                  <ErrorNotice error={found.error} retry={() => void found.refetch()} />
                </div>
              ) : found.isPending ? (
                <div className={css.wait}>
                  <RowSkeletons rows={8} />
                </div>
              ) : total === 0 ? (
                <EmptyState icon={IconFolderOpen} title={t('file.empty')}>
                  {writes ? t('file.emptyHint') : undefined}
                </EmptyState>
              ) : (
                <FileRows
                  label={t('file.label', { folder: folder === root ? '/' : shown(folder) })}
                  entries={entries}
                  chosen={chosen}
                  onChosen={choose}
                  onOpen={open}
                  menu={menu}
                  sort={sort.by}
                  down={sort.down}
                  onSort={(by) => setSort((before) => ({ by, down: before.by === by ? !before.down : by !== 'name' }))}
                  onEnd={onEnd}
                />
              )}
            </div>
          </div>
        </Section>
      </DropZone>
      {!searching && total > 0 && <p className="quiet nums">{t('file.count', { count: total })}{entries.length < total ? ` · ${number(entries.length)} / ${number(total)}` : ''}</p>}
      <Questions asking={asking} instance={instance} folder={folder} close={close} done={done} onFile={onFile} />
    </>
  );
}

function Crumbs({ folder, onFolder }: { folder: string; onFolder: (path: string) => void }) {
  const all = [{ path: root, name: t('file.volume') }, ...crumbs(folder)];
  return (
    <nav aria-label={t('file.where')} style={{ flex: '1 1 12rem', minWidth: 0 }}>
      <ol className={css.crumbs}>
        {all.map((each, n) => (
          <li key={each.path}>
            {n > 0 && <span aria-hidden>/</span>}
            <button type="button" className={css.crumb} aria-current={n === all.length - 1 ? 'page' : undefined} onClick={() => onFolder(each.path)}>
              {each.name}
            </button>
          </li>
        ))}
      </ol>
    </nav>
  );
}

function AddMenu({ ask, onFiles }: { ask: (asking: Asking) => void; onFiles: (files: FileList | File[]) => void }) {
  const folderInput = useRef<HTMLInputElement>(null);
  return (
    <>
      <FileButton multiple onChange={(files) => files.length > 0 && onFiles(files)}>
        {(props) => (
          <Button {...props} variant="filled" leftSection={<IconUpload size={14} aria-hidden />}>
            {t('common.upload')}
          </Button>
        )}
      </FileButton>
      <input
        ref={(input) => {
          folderInput.current = input;
          input?.setAttribute('webkitdirectory', '');
        }}
        type="file"
        hidden
        aria-hidden
        tabIndex={-1}
        onChange={(e) => {
          if (e.currentTarget.files) onFiles(Array.from(e.currentTarget.files));
          e.currentTarget.value = '';
        }}
      />
      <Menu>
        <Menu.Target>
          <Button leftSection={<IconPlus size={14} aria-hidden />}>{t('file.new')}</Button>
        </Menu.Target>
        <Menu.Dropdown>
          <Menu.Item leftSection={<IconFilePlus size={16} />} onClick={() => ask({ what: 'file' })}>
            {t('file.newFile')}
          </Menu.Item>
          <Menu.Item leftSection={<IconFolderPlus size={16} />} onClick={() => ask({ what: 'folder' })}>
            {t('file.newFolder')}
          </Menu.Item>
          <Menu.Item leftSection={<IconUpload size={16} />} onClick={() => folderInput.current?.click()}>
            {t('file.uploadFolder')}
          </Menu.Item>
          <Menu.Item leftSection={<IconCloudDownload size={16} />} onClick={() => ask({ what: 'pull' })}>
            {t('file.pull')}
          </Menu.Item>
        </Menu.Dropdown>
      </Menu>
    </>
  );
}

interface ChosenProps {
  count: number;
  writes: boolean;
  get: () => void;
  ask: (what: 'copy' | 'move' | 'archive' | 'delete' | 'chmod') => void;
  clear: () => void;
}

function ChosenBar({ count, writes, get, ask, clear }: ChosenProps) {
  return (
    <>
      <span className="nums" role="status">
        {t('file.chosen', { count })}
      </span>
      <Button leftSection={<IconDownload size={14} aria-hidden />} onClick={get}>
        {t('common.download')}
      </Button>
      {writes && (
        <>
          <Button onClick={() => ask('move')}>{t('file.move')}</Button>
          <Button onClick={() => ask('copy')}>{t('common.copy')}</Button>
          <Button onClick={() => ask('archive')}>{t('file.archive')}</Button>
          <Button onClick={() => ask('chmod')}>{t('file.chmodShort')}</Button>
          <Button color="red" variant="light" onClick={() => ask('delete')}>
            {t('common.delete')}
          </Button>
        </>
      )}
      <Button onClick={clear}>{t('common.cancel')}</Button>
    </>
  );
}

function EntryMenu({ entry, writes, open, ask, get }: { entry: Entry; writes: boolean; open: () => void; ask: (asking: Asking) => void; get: () => void }) {
  const text = entry.kind === 'file' && entry.size <= editorMost && !looksBinary(entry.name);
  return (
    <>
      {(entry.kind === 'dir' || text) && (
        <Menu.Item leftSection={entry.kind === 'dir' ? <IconFolderOpen size={16} /> : <IconEdit size={16} />} onClick={open}>
          {t(entry.kind === 'dir' ? 'file.open' : writes ? 'common.edit' : 'file.open')}
        </Menu.Item>
      )}
      {(entry.kind === 'dir' || entry.kind === 'file') && (
        <Menu.Item leftSection={<IconDownload size={16} />} onClick={get}>
          {t(entry.kind === 'dir' ? 'file.downloadZip' : 'common.download')}
        </Menu.Item>
      )}
      {writes && (
        <>
          <Menu.Item leftSection={<IconEdit size={16} />} onClick={() => ask({ what: 'rename', entry })}>
            {t('common.rename')}
          </Menu.Item>
          <Menu.Item leftSection={<IconArrowsMove size={16} />} onClick={() => ask({ what: 'move', paths: [entry.path] })}>
            {t('file.move')}
          </Menu.Item>
          <Menu.Item leftSection={<IconCopy size={16} />} onClick={() => ask({ what: 'copy', paths: [entry.path] })}>
            {t('common.copy')}
          </Menu.Item>
          <Menu.Item leftSection={<IconArchive size={16} />} onClick={() => ask({ what: 'archive', paths: [entry.path] })}>
            {t('file.archive')}
          </Menu.Item>
          {entry.kind === 'file' && isArchive(entry.name) && (
            <Menu.Item leftSection={<IconPackageImport size={16} />} onClick={() => ask({ what: 'extract', entry })}>
              {t('file.extract')}
            </Menu.Item>
          )}
          <Menu.Item leftSection={<IconLock size={16} />} onClick={() => ask({ what: 'chmod', entries: [entry] })}>
            {t('file.chmod')}
          </Menu.Item>
          <Menu.Divider />
          <Menu.Item color="red" leftSection={<IconTrash size={16} />} onClick={() => ask({ what: 'delete', paths: [entry.path] })}>
            {t('common.delete')}
          </Menu.Item>
        </>
      )}
    </>
  );
}

interface QuestionsProps {
  asking: Asking | undefined;
  instance: string;
  folder: string;
  close: () => void;
  done: () => void;
  onFile: (path: string) => void;
}

function Questions({ asking, instance, folder, close, done, onFile }: QuestionsProps) {
  const common = { instance, close, done };
  switch (asking?.what) {
    case 'folder':
      return <NewFolder {...common} folder={folder} />;
    case 'file':
      return <NewFile instance={instance} close={close} folder={folder} open={onFile} />;
    case 'pull':
      return <Pull {...common} folder={folder} />;
    case 'rename':
      return <Rename {...common} entry={asking.entry} />;
    case 'extract':
      return <Extract {...common} entry={asking.entry} />;
    case 'copy':
    case 'move':
      return <Transfer {...common} paths={asking.paths} folder={folder} copies={asking.what === 'copy'} />;
    case 'archive':
      return <Archive {...common} paths={asking.paths} folder={folder} />;
    case 'chmod':
      return <Chmod {...common} entries={asking.entries} />;
    case 'delete':
      return <Delete {...common} paths={asking.paths} />;
    default:
      return null;
  }
}

function Delete({ instance, paths, close, done }: { instance: string; paths: string[]; close: () => void; done: () => void }) {
  const name = paths.length === 1 ? shown(base(paths.join())) : String(paths.length); // of many it is how many
  const run = async () => {
    await call('post', '/api/v1/instances/{id}/files/delete', { path: { id: instance }, body: { paths }, idempotencyKey: idempotencyKey() });
    notifyDone(t('file.deleteSent', { count: paths.length }));
    done();
  };
  return (
    <ConfirmByName opened onClose={close} title={t('file.deleteTitle', { count: paths.length })} name={name} confirm={t('common.delete')} run={run}>
      <ul>
        {paths.slice(0, 8).map((path) => (
          <li key={path}>{shown(base(path))}</li>
        ))}
        {paths.length > 8 && <li>…</li>}
      </ul>
      {t('common.cannotUndo')}
    </ConfirmByName>
  );
}

function DropZone({ enabled, folder, onFiles, children }: { enabled: boolean; folder: string; onFiles: (files: Awaited<ReturnType<typeof dropped>>) => void; children: ReactNode }) {
  const [over, setOver] = useState(0);
  const takes = (e: DragEvent) => enabled && e.dataTransfer.types.includes('Files');
  return (
    // Dragging has a button that does the same: it needs no keyboard of its own.
    <div
      className={css.drop}
      data-over={over > 0 ? t('file.dropHere') : undefined}
      onDragEnter={(e) => takes(e) && setOver((n) => n + 1)}
      onDragLeave={(e) => takes(e) && setOver((n) => Math.max(0, n - 1))}
      onDragOver={(e) => {
        if (takes(e)) e.preventDefault();
      }}
      onDrop={(e) => {
        if (!takes(e)) return;
        e.preventDefault();
        setOver(0);
        dropped(e.dataTransfer.items, folder).then(onFiles, notifyError);
      }}
    >
      {children}
    </div>
  );
}
