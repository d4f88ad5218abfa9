import { lazy, Suspense } from 'react';
import { useSearchParams } from 'wouter';
import { PageSkeleton } from '@/ui';
import { Browser } from './Browser';
import { parent, root } from './paths';

const Editor = lazy(() => import('./Editor'));

interface Props {
  instance: string;
  writes: boolean;
}

/** The files of an instance: a folder, or one file in the editor. Where one is stands in the address. */
export default function FilesTab({ instance, writes }: Props) {
  const [params, setParams] = useSearchParams();
  const file = params.get('file');
  const toFolder = (path: string) => setParams(path === root ? {} : { path });
  const toFile = (path: string) => setParams({ file: path });
  if (file) {
    return (
      <Suspense fallback={<PageSkeleton />}>
        <Editor key={file} instance={instance} path={file} writes={writes} close={() => toFolder(parent(file))} />
      </Suspense>
    );
  }
  return <Browser instance={instance} folder={params.get('path') || root} writes={writes} onFolder={toFolder} onFile={toFile} />;
}
