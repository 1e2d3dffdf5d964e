//! A guide's first and last frame as pictures, for generators that read those.

use crate::error::{Control, GeneratorError};
use crate::generator::Job;
use std::path::PathBuf;
use travel_media::{RgbFrame, RgbReader, save_png};

/// The wanted of the two, as PNG in the job's working folder. The guide is decoded to its end, once, and only if need be.
pub(crate) fn ends_of_guide(
    job: &Job,
    wants_first: bool,
    wants_last: bool,
) -> Result<(Option<PathBuf>, Option<PathBuf>), GeneratorError> {
    if !wants_first && !wants_last {
        return Ok((None, None));
    }
    let unreadable =
        |source| GeneratorError::ControlUnreadable { control: Control::Guide, path: job.guide.clone(), source };
    let (mut first, mut last) = (None, None);
    for frame in RgbReader::open(&job.guide).map_err(unreadable)? {
        let frame = frame.map_err(unreadable)?;
        if first.is_none() {
            first = Some(frame);
        } else {
            last = Some(frame);
        }
    }
    let save = |wanted: bool, frame: Option<RgbFrame>, name: &str| match frame.filter(|_| wanted) {
        None => Ok(None),
        Some(frame) => {
            let path = job.work_dir.join(name);
            save_png(&frame, &path).map_err(|source| GeneratorError::OutUnwritable { path: path.clone(), source })?;
            Ok(Some(path))
        }
    };
    Ok((save(wants_first, first, "first_frame.png")?, save(wants_last, last, "last_frame.png")?))
}
