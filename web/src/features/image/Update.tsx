import { Button } from '@mantine/core';
import { IconRefresh } from '@tabler/icons-react';
import { useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { call, keys, type View } from '@/api';
import { t } from '@/text';
import { Dialog, notifyError } from '@/ui';
import { ReportLine } from './ReportLine';
import type { Line } from './report';
import css from './image.module.css';

/** Imports an image anew from the address that its file names, and tells what became of it. */
export function Update({ image }: { image: View<'ImageView'> }) {
  const [busy, setBusy] = useState(false);
  const [report, setReport] = useState<Line>();
  const client = useQueryClient();
  const run = async () => {
    setBusy(true);
    try {
      setReport(await call('post', '/api/v1/images/{id}/update', { path: { id: image.id } }));
      await client.invalidateQueries({ queryKey: keys.images() });
    } catch (error) {
      notifyError(error);
    } finally {
      setBusy(false);
    }
  };
  return (
    <>
      <Button leftSection={<IconRefresh size={16} aria-hidden />} loading={busy} title={image.source?.update_url} onClick={() => void run()}>
        {t('image.update')}
      </Button>
      <Dialog of={report} onClose={() => setReport(undefined)} size="lg" title={() => t('image.report')}>
        {(line) => (
          <ul className={css.report} aria-label={t('image.report')}>
            <ReportLine line={line} />
          </ul>
        )}
      </Dialog>
    </>
  );
}
