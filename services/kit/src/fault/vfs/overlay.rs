//! The writes of one file that the disk does not have yet.

use std::collections::BTreeMap;

use parking_lot::Mutex;

/// Writes are kept in blocks of this size.
const BLOCK_BYTES: u64 = 4096;

type Block = Box<[u8; BLOCK_BYTES as usize]>;

/// The file on disk. Errors are SQLite's result codes.
pub(super) trait Disk {
    /// Fills the buffer from `offset`; what lies past the end reads as zeros.
    fn read(&mut self, buffer: &mut [u8], offset: u64) -> Result<(), i32>;
    fn write(&mut self, bytes: &[u8], offset: u64) -> Result<(), i32>;
    fn truncate(&mut self, size: u64) -> Result<(), i32>;
    fn size(&mut self) -> Result<u64, i32>;
    fn sync(&mut self, flags: i32) -> Result<(), i32>;
}

/// What a process wrote to a file since its last sync. Shared by all handles of the file.
#[derive(Default)]
pub(super) struct Overlay(Mutex<Pending>);

#[derive(Default)]
struct Pending {
    /// Whole blocks as the process sees them, by number.
    blocks: BTreeMap<u64, Block>,
    /// Present once something is pending.
    extent: Option<Extent>,
}

#[derive(Clone, Copy)]
struct Extent {
    /// The size of the file as the process sees it.
    size: u64,
    /// Up to here the disk's bytes count; behind it lies what was cut off.
    disk_size: u64,
}

impl Overlay {
    /// True if a process sees bytes here that the disk may not have.
    pub(super) fn holds_content(&self) -> bool {
        self.0.lock().extent.is_some_and(|extent| extent.size > 0)
    }

    /// Fills the buffer as far as the file goes, the rest with zeros, and returns how many bytes there were.
    pub(super) fn read(&self, disk: &mut dyn Disk, buffer: &mut [u8], offset: u64) -> Result<usize, i32> {
        let pending = self.0.lock();
        let extent = pending.extent(disk)?;
        let there = extent.size.saturating_sub(offset).min(buffer.len() as u64) as usize;
        pending.fill(disk, extent, &mut buffer[..there], offset)?;
        buffer[there..].fill(0);
        Ok(there)
    }

    /// Keeps the bytes until the next sync.
    pub(super) fn write(&self, disk: &mut dyn Disk, bytes: &[u8], offset: u64) -> Result<(), i32> {
        let mut pending = self.0.lock();
        let mut extent = pending.extent(disk)?;
        let end = offset + bytes.len() as u64;
        for number in offset / BLOCK_BYTES..end.div_ceil(BLOCK_BYTES) {
            let start = number * BLOCK_BYTES;
            let mut block = pending.take_block(disk, extent, number)?;
            let (from, to) = (offset.max(start), end.min(start + BLOCK_BYTES));
            block[(from - start) as usize..(to - start) as usize]
                .copy_from_slice(&bytes[(from - offset) as usize..(to - offset) as usize]);
            pending.blocks.insert(number, block);
        }
        extent.size = extent.size.max(end);
        pending.extent = Some(extent);
        Ok(())
    }

    /// Cuts or extends the file, for the process.
    pub(super) fn truncate(&self, disk: &mut dyn Disk, size: u64) -> Result<(), i32> {
        let mut pending = self.0.lock();
        let extent = pending.extent(disk)?;
        pending.blocks.split_off(&size.div_ceil(BLOCK_BYTES));
        if let Some(block) = pending.blocks.get_mut(&(size / BLOCK_BYTES)) {
            block[(size % BLOCK_BYTES) as usize..].fill(0);
        }
        pending.extent = Some(Extent { size, disk_size: extent.disk_size.min(size) });
        Ok(())
    }

    /// The size as the process sees it.
    pub(super) fn size(&self, disk: &mut dyn Disk) -> Result<u64, i32> {
        Ok(self.0.lock().extent(disk)?.size)
    }

    /// Writes all to the disk and syncs it.
    pub(super) fn sync(&self, disk: &mut dyn Disk, flags: i32) -> Result<(), i32> {
        let mut pending = self.0.lock();
        if let Some(extent) = pending.extent {
            // Cut first: what follows may lie behind.
            if disk.size()? > extent.disk_size {
                disk.truncate(extent.disk_size)?;
            }
            for (number, block) in &pending.blocks {
                let start = number * BLOCK_BYTES;
                let length = extent.size.saturating_sub(start).min(BLOCK_BYTES) as usize;
                disk.write(&block[..length], start)?;
            }
            if disk.size()? < extent.size {
                disk.truncate(extent.size)?;
            }
        }
        disk.sync(flags)?;
        pending.blocks.clear();
        pending.extent = None;
        Ok(())
    }
}

impl Pending {
    fn extent(&self, disk: &mut dyn Disk) -> Result<Extent, i32> {
        match self.extent {
            Some(extent) => Ok(extent),
            None => disk.size().map(|size| Extent { size, disk_size: size }),
        }
    }

    /// Reads bytes that lie within the file, from the blocks or else from the disk.
    fn fill(&self, disk: &mut dyn Disk, extent: Extent, buffer: &mut [u8], offset: u64) -> Result<(), i32> {
        let end = offset + buffer.len() as u64;
        for number in offset / BLOCK_BYTES..end.div_ceil(BLOCK_BYTES) {
            let start = number * BLOCK_BYTES;
            let (from, to) = (offset.max(start), end.min(start + BLOCK_BYTES));
            let part = &mut buffer[(from - offset) as usize..(to - offset) as usize];
            match self.blocks.get(&number) {
                Some(block) => part.copy_from_slice(&block[(from - start) as usize..(to - start) as usize]),
                None => read_disk(disk, extent, part, from)?,
            }
        }
        Ok(())
    }

    fn take_block(&mut self, disk: &mut dyn Disk, extent: Extent, number: u64) -> Result<Block, i32> {
        if let Some(block) = self.blocks.remove(&number) {
            return Ok(block);
        }
        let mut block: Block = Box::new([0; BLOCK_BYTES as usize]);
        read_disk(disk, extent, block.as_mut_slice(), number * BLOCK_BYTES)?;
        Ok(block)
    }
}

fn read_disk(disk: &mut dyn Disk, extent: Extent, buffer: &mut [u8], offset: u64) -> Result<(), i32> {
    let there = extent.disk_size.saturating_sub(offset).min(buffer.len() as u64) as usize;
    if there > 0 {
        disk.read(&mut buffer[..there], offset)?;
    }
    buffer[there..].fill(0);
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Default)]
    struct Memory(Vec<u8>);

    impl Disk for Memory {
        fn read(&mut self, buffer: &mut [u8], offset: u64) -> Result<(), i32> {
            for (place, byte) in buffer.iter_mut().enumerate() {
                *byte = self.0.get(offset as usize + place).copied().unwrap_or(0);
            }
            Ok(())
        }
        fn write(&mut self, bytes: &[u8], offset: u64) -> Result<(), i32> {
            let end = offset as usize + bytes.len();
            self.0.resize(self.0.len().max(end), 0);
            self.0[offset as usize..end].copy_from_slice(bytes);
            Ok(())
        }
        fn truncate(&mut self, size: u64) -> Result<(), i32> {
            self.0.resize(size as usize, 0);
            Ok(())
        }
        fn size(&mut self) -> Result<u64, i32> {
            Ok(self.0.len() as u64)
        }
        fn sync(&mut self, _flags: i32) -> Result<(), i32> {
            Ok(())
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Write { offset: u64, length: usize, fill: u8 },
        Truncate(u64),
        Sync,
        Die,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0..20_000u64, 1..6_000usize, 1..=255u8).prop_map(|(offset, length, fill)| Step::Write { offset, length, fill }),
            1 => (0..20_000u64).prop_map(Step::Truncate),
            2 => Just(Step::Sync),
            1 => Just(Step::Die),
        ]
    }

    proptest! {
        #[test]
        fn a_process_sees_all_it_wrote_and_its_death_leaves_what_was_synced(steps in prop::collection::vec(step(), 1..40)) {
            let (mut disk, mut overlay) = (Memory::default(), Overlay::default());
            let (mut seen, mut synced) = (Memory::default(), Vec::new());
            for step in steps {
                match step {
                    Step::Write { offset, length, fill } => {
                        overlay.write(&mut disk, &vec![fill; length], offset).unwrap();
                        seen.write(&vec![fill; length], offset).unwrap();
                    }
                    Step::Truncate(size) => {
                        overlay.truncate(&mut disk, size).unwrap();
                        seen.truncate(size).unwrap();
                    }
                    Step::Sync => {
                        overlay.sync(&mut disk, 0).unwrap();
                        synced = seen.0.clone();
                    }
                    Step::Die => {
                        overlay = Overlay::default();
                        seen.0 = synced.clone();
                    }
                }
                prop_assert_eq!(&disk.0, &synced);
                prop_assert_eq!(overlay.size(&mut disk).unwrap(), seen.0.len() as u64);
                let mut all = vec![7; seen.0.len() + 10];
                prop_assert_eq!(overlay.read(&mut disk, &mut all, 0).unwrap(), seen.0.len());
                prop_assert_eq!(&all[..seen.0.len()], &seen.0[..]);
                prop_assert_eq!(&all[seen.0.len()..], &[0; 10][..]);
            }
        }
    }
}
