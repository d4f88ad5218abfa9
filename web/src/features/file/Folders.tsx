import { Tree, useTree, type RenderTreeNodePayload, type TreeNodeData } from '@mantine/core';
import { IconChevronDown, IconChevronRight, IconFolder, IconFolderOpen } from '@tabler/icons-react';
import { useQueries } from '@tanstack/react-query';
import { useMemo, useState, type MouseEvent, type KeyboardEvent } from 'react';
import { list } from '@/api';
import { t } from '@/text';
import { base, crumbs, root, shown } from './paths';
import { filesKey } from './store';
import css from './file.module.css';

interface Props {
  instance: string;
  folder: string;
  onFolder: (path: string) => void;
}

/**
 * The folders of the volume as a tree, beside what is in one of them. Each is asked
 * for when it is first unfolded; those above the open one are unfolded by themselves.
 */
export function Folders({ instance, folder, onFolder }: Props) {
  const [turned, setTurned] = useState<Record<string, boolean>>({});
  const above = [root, ...crumbs(folder).map((each) => each.path)];
  const expandedState = { ...Object.fromEntries(above.map((path) => [path, true])), ...turned };
  const below = useBelow(instance, Object.keys(expandedState).filter((path) => expandedState[path]));
  const data = useMemo(() => [treeOf(root, below)], [below]);
  const tree = useTree({ expandedState, onExpandedStateChange: (to) => setTurned((before) => ({ ...before, ...changed(expandedState, to) })), selectedState: [folder] });
  const act = (e: MouseEvent | KeyboardEvent) => {
    const at = e.target as HTMLElement;
    const path = at.closest<HTMLElement>('[data-value]')?.dataset.value;
    if (!path) return;
    if (at.closest('[data-arrow]')) tree.toggleExpanded(path);
    else onFolder(path);
  };
  return (
    <nav aria-label={t('file.folders')} className={css.folders}>
      <Tree
        data={data}
        tree={tree}
        levelOffset="sm"
        aria-label={t('file.folders')}
        renderNode={(payload) => <Folder {...payload} />}
        onClick={act}
        onKeyDown={(e) => e.key === 'Enter' && act(e)}
      />
    </nav>
  );
}

function changed(before: Record<string, boolean>, after: Record<string, boolean>): Record<string, boolean> {
  return Object.fromEntries(Object.entries(after).filter(([path, open]) => open !== (before[path] ?? false)));
}

/** The folders in each of some; those that aren't known yet are left out. What stays the same is the same object. */
function useBelow(instance: string, folders: string[]): Below {
  return useQueries({
    queries: folders.map((path) => ({
      queryKey: filesKey(instance, 'list', 'folders', path),
      queryFn: async ({ signal }: { signal: AbortSignal }) => {
        const page = await list('/api/v1/instances/{id}/files', { path: { id: instance }, query: { path, limit: 500 }, signal });
        return { path, folders: page.items.filter((each) => each.kind === 'dir').map((each) => each.path) };
      },
    })),
    combine: byPath,
  });
}

type Below = Record<string, string[]>;

function byPath(found: { data: { path: string; folders: string[] } | undefined }[]): Below {
  return Object.fromEntries(found.flatMap(({ data }) => (data ? [[data.path, data.folders]] : [])));
}

function treeOf(path: string, below: Below): TreeNodeData {
  const inside = below[path];
  return {
    value: path,
    label: path === root ? t('file.volume') : shown(base(path)),
    hasChildren: !inside || inside.length > 0,
    children: (inside ?? []).map((each) => treeOf(each, below)),
  };
}

/** One of them: its arrow unfolds it, its name opens it. */
function Folder({ node, expanded, hasChildren, selected, elementProps }: RenderTreeNodePayload) {
  const Arrow = expanded ? IconChevronDown : IconChevronRight;
  const Sign = expanded ? IconFolderOpen : IconFolder;
  return (
    <div className={`${elementProps.className} ${css.folder}`} style={elementProps.style} data-value={node.value} data-open={selected || undefined} title={String(node.label)}>
      <span aria-hidden className={css.arrow} data-arrow>
        {hasChildren && <Arrow size={14} />}
      </span>
      <Sign size={16} stroke={1.5} aria-hidden />
      <span className={css.folderName}>{node.label}</span>
    </div>
  );
}
